"""What is known of every page: one script, ours, and a policy that lets no other run."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256


def without_our_script(page: str) -> str:
    """The page without the script that its policy names by hash; fails where it has no such."""
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    assert scripts
    ours = scripts[-1]
    hashed = b64encode(sha256(ours.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert f"script-src 'sha256-{hashed}'" in policy[1]
    return page.replace(f"<script>{ours}</script>", "")
