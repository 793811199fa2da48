"""Tells how many bytes a body had; run as a program, in eventlet's server."""

import sys

from werkzeug import Request, Response


@Request.application
def application(request: Request) -> Response:
    return Response(f"{len(request.get_data())} bytes", mimetype="text/plain")


if __name__ == "__main__":
    import eventlet

    eventlet.monkey_patch()
    from config.embedded_http import serve

    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    serve(eventlet.listen(("127.0.0.1", port)), application, request_seconds=seconds)
