package egress

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// Network is one entry of egress.allow: a network, or one port of it.
type Network struct {
	Prefix netip.Prefix
	// Port is the only one that may be called; 0: every one.
	Port uint16
}

var errNoNetwork = errors.New("not a network, or one with bits set after the prefix")

// ParseNetwork reads 10.0.0.0/8, 10.0.0.0/8:443, fd00::/8 or [fd00::/8]:443.
func ParseNetwork(text string) (Network, error) {
	var n Network
	prefix, port, given := text, "", false
	switch rest, bracketed := strings.CutPrefix(text, "["); {
	case bracketed:
		prefix, port, given = strings.Cut(rest, "]:")
		given = given && strings.Contains(prefix, ":")
		if !given {
			return n, errNoNetwork
		}
	case strings.Count(text, ":") == 1:
		prefix, port, given = strings.Cut(text, ":")
	}
	var err error
	if n.Prefix, err = netip.ParsePrefix(prefix); err != nil || n.Prefix != n.Prefix.Masked() {
		return Network{}, errNoNetwork
	}
	if !given {
		return n, nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || strconv.FormatUint(number, 10) != port {
		return Network{}, errNoNetwork
	}
	n.Port = uint16(number)
	return n, nil
}

// String is the network as [ParseNetwork] reads it.
func (n Network) String() string {
	switch port := strconv.Itoa(int(n.Port)); {
	case n.Port == 0:
		return n.Prefix.String()
	case n.Prefix.Addr().Is4():
		return n.Prefix.String() + ":" + port
	default:
		return "[" + n.Prefix.String() + "]:" + port
	}
}

// MarshalText implements [encoding.TextMarshaler].
func (n Network) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// covers reports whether the network opens the address at that port.
func (n Network) covers(addr netip.Addr, port uint16) bool {
	return n.Prefix.Contains(addr) && (n.Port == 0 || n.Port == port)
}

// names reports whether the network is the address alone, at that port.
func (n Network) names(addr netip.Addr, port uint16) bool {
	return n.Prefix.IsSingleIP() && n.covers(addr, port)
}
