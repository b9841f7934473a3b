"""WHAT is detected. Pure: no clock, no I/O, no logging, no asyncio."""
