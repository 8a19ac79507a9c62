package redis

import "testing"

func TestAPortThatIsTakenIsNotShared(t *testing.T) {
	first := Start(t)
	second, err := Launch(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Kill)
	second.Kill()
	port := second.port
	second.port = first.port
	if err := second.start(); err == nil {
		t.Error("it takes another server for its own")
	}
	second.port = port
	if err := second.start(); err != nil {
		t.Error(err)
	}
}

func TestPortsAreNoneThatTheKernelGives(t *testing.T) {
	for range 50 {
		port, err := freePort("127.0.0.1")
		if err != nil || port < firstPort || port >= endOfPorts {
			t.Errorf("%d, %v", port, err)
		}
	}
}
