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
