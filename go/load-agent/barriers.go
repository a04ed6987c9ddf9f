package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
)

// barriers let a program wait for those of other Pods. The program writes a byte to its file descriptor 3
// when it has reached a barrier, and goes on once it has read one from its standard input.
type barriers struct {
	mutex    sync.Mutex
	reached  int
	released int
	input    io.Writer // standard input of the program
}

var errNotReached = errors.New("the program has not reached this barrier")

// connect prepares a command, and returns a function that is called once the command was started, or failed.
func (b *barriers) connect(command *exec.Cmd) (func(), error) {
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	command.ExtraFiles = []*os.File{writer}
	b.mutex.Lock()
	b.input = input
	b.mutex.Unlock()
	go func() {
		defer func() { _ = reader.Close() }()
		one := make([]byte, 1)
		for {
			if _, err := io.ReadFull(reader, one); err != nil {
				return // the program has ended
			}
			b.mutex.Lock()
			b.reached++
			b.mutex.Unlock()
		}
	}()
	return func() { _ = writer.Close() }, nil
}

// count returns how many barriers the program has reached.
func (b *barriers) count() int {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.reached
}

// release lets the program pass a barrier, counted from 1. A repeated request changes nothing.
func (b *barriers) release(number int) error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if number <= b.released {
		return nil
	}
	if number != b.released+1 || number > b.reached {
		return errNotReached
	}
	_, _ = b.input.Write([]byte{'\n'}) // It fails if the program has ended, which its state says.
	b.released = number
	return nil
}

func (b *barriers) handle(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.PathValue("number"))
	if err == nil {
		err = b.release(number)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	write(w, struct{}{})
}
