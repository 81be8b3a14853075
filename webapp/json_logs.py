"""One JSON object per log line, for machines (`JSON_LOGS=1`)."""

import json
import logging


class JsonFormatter(logging.Formatter):
    """Format a record as {"time", "level", "logger", "message", "error"?}."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
