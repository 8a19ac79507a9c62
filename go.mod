module github.com/refold-dev/refold

go 1.26.0
