"""What the owner configures: one TOML file, ``--set key=value`` over it, and secrets from the environment.

The only place that reads the environment and the config file. Unknown keys are refused with the nearest
known one. Secrets come from ``EVENKEEL_<NAME>`` or from a file named by ``EVENKEEL_<NAME>_FILE``; ``rpc.url``
may hold an API key, so it has such a name too (``EVENKEEL_RPC_URL``), and is never shown in full.
"""

from agent.config.section import Config, known_keys
from agent.config.source import load

__all__ = ["Config", "known_keys", "load"]
