"""What both ends must agree on: the client library of a booth, a port gateway and a back-office."""
