"""Where keys are kept: one module per kind of custody, each behind a port of ``agent.tx.signer``."""
