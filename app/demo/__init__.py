"""The demo: a living community on this machine, with real processes, real video and a stand-in receiver."""
