"""Bytes that earlier versions wrote. They are never changed, only added to: a reader must take them forever."""

from __future__ import annotations

from base64 import b85decode

from streams.engine.snapshot import SnapshotRow

GOLDEN_ROW = SnapshotRow(
    site_id="s1",
    digest="",
    position=2,
    data=b85decode(
        """
cmb_c&ubGw6rMz(T0PW@2tqIRAVPm^&w~0N2*Hz;WwP^{op!Uc>`Y_zAPK=s57IOSwHMQ5lWc0O7Ci|<kQ@|S>rq6D#~$=Q5bE1xlWrm6#XT%L
-<vn@o9}yXS7Q~ad6r0N@%C|(O0)2wA-Mvbvmjv8G?bf)r$N6fY<PZ6aypqXshu(@-!z0h%Tsy=T*-wUf5mMDuDjqUVEU{p(t29%5)!MPo4HQ5
qCq7hq3H&L3^zdLDoooW!`?i%*;W_RyCoJ}U_NBPR>;fmV&htbXj6&>*9chGyHVe<XlLy^<6WdiRir3+=7Iq{gG?hN8{t)A&9FSGz_g7X7mG^i
rKp1Skg-lxu3w;lTkD;&GP|x!7o;gHCUYAmSZpGAVX2)97yS%Jg@r4#eg;f#SRk{WqA6S>Q;C<9*<y*1RzAE-sV^c4k$6vo={mPlAXR@0BO!87
;TjU^1#WyJxQbO=ZMn4l{{Nnx*bmM=s0ciJXXrEO)$HL^%dYH^QypJlh~yj?N*759E~?*mwUQj{XT{L^UV7-IcEm@$Jitf2T(f8rtVWU>cTnD%
gN+Rh2OU9iedSVP9y=vglZJ5N<CUM=!LzeRPIf51bkJs+f&m<ze{-xcA>5-Rjj;hFjj<-<*n<iur^4++R{1&un^UV$LQ(IpWnyb~tb6BH0~{^|
gI3j{to#n+o`o%pb6|mOKqMm`Rq58%%YVuAg076Dk!ae??U7zu-VYixGCzs^L*s;2wUtSZaw^92VI#IrY+f2YcynfV82Pr(J%!oAv8i9@UnlGz
BVXno<-aeTzRBNCq0jA+CljmprbmB&-9HN-79V~p<h-O<)C$F_MCFrc8~&(<iX`U;@Far8a5R=4=X^!E6%6M}Z(LaaqqY188~F<@
""".replace("\n", "")
    ),
)

GOLDEN_SHARED_ROW = SnapshotRow(
    site_id="s1",
    digest="",
    position=2,
    data=b85decode(
        """
cmb`HJ#5oJ6vxk2Q7IHu#6YEv?SO<z<+60BD6r76Qp8p;7yFtVb$piZ8a@^hA{LNPJ_rJJNfRe=N(&T5mZ-{5K?5vosDiBn69TaymFL7sT`6p2uyXI
+yZ3wld+(OzB3B%PMHIP#GLNd93ZhcoGnzO?3N=AvM7_gIvVM_MJQ0dwGZMx0g~rSU8d2lK=9HQ88)^z-+e?-py1HPqm>T0B5t2&7^K)n;=oBpAnyl
(1PBp@lMP1oJN1R1!>KkpF+D@@#6Wt|oVhZ4L+qQ8f09xa0$<{pTO55vN25zlgYrJhKV-ZM-p4&ttG!CQz$f{q8RP)n=3c9k^VKFf0P6P|G>JzJ2B)
bVRu(i@k%M+_2Y7-u1hR%~~QDW$4y$_^nj-Gbo6clDQPq=XsrJ6x_!Vx$EYar!NBv0h>2-Q=5E%~m9$hXKH4JIqpj1VrmTXf`G_KH*ippN6p7X&M*X
e;Ub_SXMBJGASay;o##cC-Hz>g4R$v64uqDmpPKHZpnGdVeJ@t(a2#M(R~!QO<NyFIiYGY=Yl0;9}r*4Pt5}5FrQe@al!>e?&T-)`2h-44c0>)Co(u
p4@@12<>*842mh4B8m<&J(CkjC(LdsnOuomN;QnNMVOoZY&uzx6DeQ%Y~%1UIwYOhoN^j{v#FndprmYLIEQ|r(b;dt3OXUJlkg7*osu>Njvs3b-n$-
p`0l)WcdIGAEo!iL=rQ_@zK(2PE~1mtxy7lO#^Fo3xzOvuYw;&Yk|bIFV2pg8MmdypJ)8-E$@yLK;Azqom>OQ6W;>mucmLGW+3XHF+8VN#EPR7#LS<
o2Y#4?8>chQ<3*fqg<-lMm2b5I{J%&mxlnopvMm0>e+tBM}D~dU(S}-2a>8`LrLKs`A%r$0{_cPzOy<c+&4YUwnSuk@rLV7TQ{`)W0{sRzXEbENf2O
+hw9+28tO{ef62zbVd)ZC}a_VxV*Pp=vn
""".replace("\n", "")
    ),
)
"""The same site as in ``GOLDEN_ROW``, in schema 2: each buffered event once."""

GOLDEN_SHIFTED_ROW = SnapshotRow(
    site_id="s1",
    digest="",
    position=3,
    data=b85decode(
        """
cmb`HO=uHA6vt=NO08B=JXrA99tu*+)=Lk?`f;#$3Iq|Px=wbc$=J=#vNMgg7ZZaQ3(_VAih4-XO|$({t0xtqln7NDErK^Gdh0<iqUb?dXY;wmh$7~
&WZrzd-}}$|&z-t7lP!$~<hmRfyOCvtV}&3msKXFWO>+{$$}rXO{4qvghc5{AKoF9<D%JZ*KnY`$5vqG05}jky95gsaO20`%N{GD%K$>js^MVEUB&V
*a&Md-VqGA?JBY6$%um*^Z7K$;Ym}1bx$i`u;bHQa7W9_mFbehpYQ+24PinF$%!NS-!+KZ74<gTP(*2F3%VL|GG%$7=#rc3FC3P_$SvuKbpD*!p3DG
@7>M=J@&#L}rkS{9k%K@+ne)ewu$1+j(>IUkWK-_mA>iBOoDEMkXokf<7F5sSls7z<J+ie!;Q5`e{6sg`6#L{N%&${KV|5j}tzuPi~J6xmD@SpbzMP
QL?UB&AJxG`X_;f6w-<J7;gEsW>~|unNjK%W)`2Mq^V5>jY|JNwM_WL|B^8rQ(e&X0bsSMR;-2fGD*j<}FQJjJRD5>ne8b@VM{r+|lme?6e%MUE6?r
Ti>NU<!v$Bk=xZ3zV%9ziDD*o9t2yNZh0b6%TF)MV~I&-$XP#B2ZV1L;-k@&ClV`3AJ6T%4Yo-Km%6N{Qh$B-#-kIt?Y*%tKStVyo{RG0x#k4;3R-$
UXcJ(sG>`qCEwEo&XxzOk*L3xQZ{)=h`^s`&dXiS1wKu^x@czKc$u!s}9UkcFNrLa-?5SsKxu)X@ukS(A`LO1DJUk90N%DAr=T-de>?(M(@##z?0iw
1;+aXvJr6#&Q9<@0nn$yPda$}*&pT*I5Vh!vpc<>(eU&Ja`sGng|IHf9%zqa=TZ^d_(@SVIxcqLWCb4n_sK|j{AexeQuD`boyWH@UG_Xs1{+!P86S4
$bDQWL-I`MBcz@@t^6fOy{!mV^OZgHc>h^&zXi4{pW`qSV|9skYXDR9mMJ5$^>TuUwkwRjR*Gs`HN&zbb{iH6W1ppOi|}*Vh-C;U_vhbT0
""".replace("\n", "")
    ),
)
"""The same site in schema 3, after a step five hours back and one more event."""
