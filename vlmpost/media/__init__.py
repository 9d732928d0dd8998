"""Files that are looked at rather than read: images, videos, depth maps; opened with limits, never executed, never resized here."""
