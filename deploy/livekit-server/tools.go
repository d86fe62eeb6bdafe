//go:build tools

// Package tools pins the LiveKit server that `make setup` builds where none is on the PATH.
// Its own go.mod has replace directives, so `go install` refuses it; as a dependency it builds.
package tools

import _ "github.com/livekit/livekit-server/cmd/server"
