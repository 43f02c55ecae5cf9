"""What --audit-… flags say. Numbers are upstream's defaults; 0 of the three limits of the log switches each off."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BLOCKING, BATCH = "blocking", "batch"
MODES = (BATCH, BLOCKING)
FORMATS = ("json",)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """Nothing is recorded without a policy, nor without a place for it."""

    policy_file: Path | None = None
    log_path: str = ""
    """`-`: standard out."""
    log_maxage: int = 366
    """Days that old files are kept."""
    log_maxbackup: int = 100
    """How many old files are kept."""
    log_maxsize: int = 100
    """Megabytes before the file is put aside."""
    log_format: str = FORMATS[0]
    log_mode: str = BLOCKING
    webhook_config_file: Path | None = None
    webhook_batch_max_size: int = 400
    webhook_batch_max_wait_s: float = 30.0
    webhook_initial_backoff_s: float = 10.0
    batch_buffer_size: int = 10000
    """Events that wait; what comes beyond them is lost, and counted."""

    @property
    def wanted(self) -> bool:
        return self.policy_file is not None and bool(self.log_path or self.webhook_config_file)

    def problems(self) -> list[str]:
        """What cannot be, in upstream's words."""
        wrong = []
        if self.log_path:
            if self.log_mode not in MODES:
                wrong.append(f'invalid audit log mode {self.log_mode}, allowed modes are "{",".join(MODES)}"')
            if self.log_format not in FORMATS:
                wrong.append(f'invalid audit log format {self.log_format}, allowed formats are "{",".join(FORMATS)}"')
            for flag in ("maxage", "maxbackup", "maxsize"):
                value = getattr(self, f"log_{flag}")
                if value < 0:
                    wrong.append(f"--audit-log-{flag} {value} can't be a negative number")
        if self.webhook_config_file is not None and self.webhook_batch_max_size <= 0:
            wrong.append(f"invalid audit batch webhook max batch size {self.webhook_batch_max_size}, must be a positive number")
        if self.batch_buffer_size <= 0:
            wrong.append(f"invalid audit batch buffer size {self.batch_buffer_size}, must be a positive number")
        return wrong
