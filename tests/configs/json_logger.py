# SPDX-License-Identifier: MIT
# After what people write to have JSON of all logs (dev.to, "Unify Python logging for a Gunicorn
# application"; til.codeinthehole.com, "How to get Gunicorn to log as JSON").
import json
import logging

from gunicorn.glogging import Logger


class JsonFormatter(logging.Formatter):
    def format(self, record):
        line = {"logger": record.name, "level": record.levelname}
        if record.name == "gunicorn.access":
            line |= {"path": record.args["U"], "status": int(record.args["s"])}
        else:
            line["text"] = record.getMessage()
        return json.dumps(line)


class JsonLogger(Logger):
    def setup(self, cfg):
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            for handler in logger.handlers:
                handler.setFormatter(JsonFormatter())


accesslog = "-"
logger_class = JsonLogger
