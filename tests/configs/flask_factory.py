# SPDX-License-Identifier: MIT
# After "Gunicorn" of Flask's documentation (deploying/gunicorn: workers, bind, a factory) and the
# common recipe that gives the application the server's handlers.
import multiprocessing

workers = min(multiprocessing.cpu_count(), 2)
wsgi_app = "flask_with_handlers:create_app(greeting='hello')"
forwarded_allow_ips = "*"
preload_app = True
