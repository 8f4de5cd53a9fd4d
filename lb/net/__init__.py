"""The machine's own network: VIPs that come and go with services, and word of what changes."""

from lb.net.vips import Vips
from lb.net.watch import Watch

__all__ = ["Vips", "Watch"]
