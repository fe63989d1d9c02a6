package rest

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"ringback/internal/operation"
)

// Bounds on failed authentications.
const (
	// freeGuesses are the keys in a row, each less than guessMemory after the one
	// before, that an address may get wrong; each further one doubles its wait.
	freeGuesses  = 10
	guessMemory  = time.Minute
	maxGuessWait = time.Minute
	// maxGuessers bounds the table; an entry is dropped to make room.
	maxGuessers = 10_000
	// maxKnownKeys bounds the keys that are remembered of one address.
	maxKnownKeys = 16
)

// guessers are the addresses that showed keys lately.
type guessers struct {
	mu sync.Mutex
	// byNetwork is by address; by /64 of IPv6, where one client has them all.
	byNetwork map[string]*guesser
}

type guesser struct {
	wrong int
	// last is when a wrong key was shown, until when the address has to wait.
	last, until time.Time
	// known are keys that were accepted from the address: behind a proxy, its other
	// callers go on.
	known []Key
}

// judge counts the result of an authentication from an address, and refuses the
// address while it has to wait, whatever key it shows now.
func (g *guessers) judge(address string, key Key, err error, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := g.of(address, now)
	known := err == nil && slices.ContainsFunc(from.known, func(k Key) bool { return k.SHA256 == key.SHA256 })
	if wait := from.until.Sub(now); wait > 0 && !known {
		return &operation.Error{Problem: ProblemTooManyRequests, RetryAfter: wait,
			Detail: "Too many wrong API keys came from this address; wait as Retry-After says."}
	}
	if !errors.Is(err, errWrongKey) {
		if err == nil && !known && len(from.known) < maxKnownKeys {
			from.known = append(from.known, key)
		}
		return err
	}
	from.last = now
	if from.wrong++; from.wrong >= freeGuesses {
		from.until = now.Add(min(time.Second<<min(from.wrong-freeGuesses, 10), maxGuessWait))
	}
	return err
}

// of finds or makes the entry of an address.
func (g *guessers) of(address string, now time.Time) *guesser {
	if ip, err := netip.ParseAddr(address); err == nil {
		ip = ip.Unmap().WithZone("")
		bits := ip.BitLen()
		if ip.Is6() {
			bits = 64
		}
		network, _ := ip.Prefix(bits)
		address = network.String()
	}
	from := g.byNetwork[address]
	if from != nil {
		if now.Sub(from.last) > guessMemory && now.Sub(from.until) > guessMemory {
			from.wrong = 0
		}
		return from
	}
	if g.byNetwork == nil {
		g.byNetwork = map[string]*guesser{}
	}
	for other := range g.byNetwork {
		if len(g.byNetwork) < maxGuessers {
			break
		}
		delete(g.byNetwork, other)
	}
	from = &guesser{}
	g.byNetwork[address] = from
	return from
}

// refusedLog writes at most one line a second of what was refused without a key, and
// counts the others.
type refusedLog struct {
	mu      sync.Mutex
	limit   *rate.Limiter
	leftOut int
}

func (l *refusedLog) write(log *zap.Logger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.limit.Allow() {
		l.leftOut++
		return
	}
	if l.leftOut > 0 {
		log = log.With(zap.Int("left_out", l.leftOut))
	}
	log.Info("refused")
	l.leftOut = 0
}
