"""`python -m tests.end_to_end.mcp_weather PORT`: an MCP server with one tool, at `/mcp` there."""

import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("weather")


@server.tool()
def weather(city: str) -> str:
    """What the weather is like in a city."""
    return f"In {city} the sun shines."


if __name__ == "__main__":
    server.run("streamable-http", port=int(sys.argv[1]))
