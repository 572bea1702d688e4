from tests.integration.port_gateway.conftest import port, served

__all__ = ["port", "served"]
