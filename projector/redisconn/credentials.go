package redisconn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/refold-dev/refold/projector/contract"
	"github.com/refold-dev/refold/projector/fault"
)

// Keys of the Secrets that a manifest names.
const (
	passwordKey = "password"
	usernameKey = "username"
	caKey       = "ca.crt"
	certKey     = "tls.crt"
	privateKey  = "tls.key"
)

type credentialsFunc = func(ctx context.Context) (username, password string, err error)

// credentials reads the files anew each time it is called; nil needs none.
func credentials(c *contract.Credentials) credentialsFunc {
	if c == nil {
		return nil
	}
	return func(context.Context) (string, string, error) {
		password, err := readKey(c.SecretName, c.Dir, passwordKey)
		if err != nil {
			return "", "", err
		}
		username, err := os.ReadFile(filepath.Join(c.Dir, usernameKey))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", "", unreadable(c.SecretName, usernameKey, err)
		}
		return withoutNewline(username), withoutNewline(password), nil
	}
}

// readKey reads one key of a mounted Secret. The volume is optional, so a
// Secret that is not there is a file that is not there.
func readKey(secret, dir, key string) ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(dir, key))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &fault.Error{
			Reason:    contract.ReasonCredentialsMissing,
			Message:   fmt.Sprintf("Secret %s has no key %s, or is not there", secret, key),
			Remedy:    fmt.Sprintf("create the Secret %s with the key %s; it is picked up without a restart", secret, key),
			Permanent: true,
			Err:       err,
		}
	case err != nil:
		return nil, unreadable(secret, key, err)
	}
	return content, nil
}

func unreadable(secret, key string, err error) error {
	return &fault.Error{
		Reason:    contract.ReasonCredentialsMissing,
		Message:   fmt.Sprintf("key %s of Secret %s cannot be read", key, secret),
		Remedy:    "see the projector's log for the file system's error",
		Permanent: true,
		Err:       err,
	}
}

// withoutNewline drops the one that editors and echo leave behind. Any other
// space may be part of a password.
func withoutNewline(b []byte) string {
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
}
