"""An RTSP camera for tests, run with the system's Python (GStreamer's bindings live there).

``rtsp_server.py [PORT]`` prints its port and serves ``rtsp://127.0.0.1:PORT/cam``, a moving test picture of 320×240 at
15 frames/s, until its standard input closes.
"""

from __future__ import annotations

import sys
import threading
from typing import Any


def main() -> None:
    """Serve until standard input closes; exit code 3 when GStreamer's RTSP server is not installed."""
    try:
        import gi  # type: ignore[import-not-found,import-untyped,unused-ignore]

        gi.require_version("Gst", "1.0")
        gi.require_version("GstRtspServer", "1.0")
        from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except (ImportError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(3)
    Gst.init(None)
    loop: Any = GLib.MainLoop()
    server: Any = GstRtspServer.RTSPServer(service=sys.argv[1] if len(sys.argv) > 1 else "0", address="127.0.0.1")
    factory: Any = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1 "
        "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 pt=96 )"
    )
    factory.set_shared(True)
    server.get_mount_points().add_factory("/cam", factory)
    server.attach(None)
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    loop.run()


if __name__ == "__main__":
    main()
