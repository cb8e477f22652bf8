"""k2lab: find which layer breaks a Kimi model's tool calls, prove it on token ids, prove the fix."""
