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
	mu        sync.Mutex
	byNetwork map[netip.Prefix]*guesser
}

type guesser struct {
	wrong int
	// last is when a wrong key was shown, until when the address has to wait.
	last, until time.Time
	// known are keys that were accepted from the address: behind a proxy, its other
	// callers go on.
	known []Key
}

// judge counts the result of an authentication from a network, and refuses the
// network while it has to wait, whatever key it shows now.
func (g *guessers) judge(from netip.Prefix, key Key, err error, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	shown := g.of(from, now)
	known := err == nil && slices.ContainsFunc(shown.known, func(k Key) bool { return k.SHA256 == key.SHA256 })
	if wait := shown.until.Sub(now); wait > 0 && !known {
		return &operation.Error{Problem: ProblemTooManyRequests, RetryAfter: wait,
			Detail: "Too many wrong API keys came from this address; wait as Retry-After says."}
	}
	if !errors.Is(err, errWrongKey) {
		if err == nil && !known && len(shown.known) < maxKnownKeys {
			shown.known = append(shown.known, key)
		}
		return err
	}
	shown.last = now
	if shown.wrong++; shown.wrong >= freeGuesses {
		shown.until = now.Add(min(time.Second<<min(shown.wrong-freeGuesses, 10), maxGuessWait))
	}
	return err
}

// of finds or makes the entry of a network.
func (g *guessers) of(network netip.Prefix, now time.Time) *guesser {
	from := g.byNetwork[network]
	if from != nil {
		if now.Sub(from.last) > guessMemory && now.Sub(from.until) > guessMemory {
			from.wrong = 0
		}
		return from
	}
	if g.byNetwork == nil {
		g.byNetwork = map[netip.Prefix]*guesser{}
	}
	for other := range g.byNetwork {
		if len(g.byNetwork) < maxGuessers {
			break
		}
		delete(g.byNetwork, other)
	}
	from = &guesser{}
	g.byNetwork[network] = from
	return from
}

// NetworkOf is the address of host:port alone; with IPv6 its network of 64 bits, since
// one host has a whole one.
func NetworkOf(remote string) netip.Prefix {
	address, _ := netip.ParseAddrPort(remote)
	ip := address.Addr().Unmap().WithZone("")
	network, _ := ip.Prefix(min(ip.BitLen(), 64))
	return network
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
