package redisconn

// NewWire is a wire on a connection that is there already.
var NewWire = newWire
