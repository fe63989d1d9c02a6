package egress

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// forbidden are the addresses that answer for the machine or the cloud that we
// run in: link-local ones, and where clouds serve credentials to any caller.
// A network in egress.allow that merely covers one does not open it, only one
// that names it exactly does (169.254.169.254/32).
var forbidden = []netip.Prefix{
	netip.MustParsePrefix("169.254.0.0/16"),         // link-local: the metadata of AWS, Google, Azure, Oracle and others, AWS's tasks and pods
	netip.MustParsePrefix("fe80::/10"),              // link-local
	netip.MustParsePrefix("fd00:ec2::254/128"),      // AWS's metadata
	netip.MustParsePrefix("fd00:ec2::23/128"),       // AWS's pods
	netip.MustParsePrefix("fd20:ce::254/128"),       // Google's metadata
	netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), // Oracle's metadata
	netip.MustParsePrefix("fd00:42::42/128"),        // Scaleway's metadata
	netip.MustParsePrefix("100.100.100.200/32"),     // Alibaba's metadata
	netip.MustParsePrefix("168.63.129.16/32"),       // Azure's machine agent, a public address
	netip.MustParsePrefix("192.0.0.192/32"),         // Oracle's older metadata
}

func isForbidden(addr netip.Addr) bool {
	return slices.ContainsFunc(forbidden, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// The forms of IPv6 addresses that lead to an IPv4 one.
var (
	compatible   = netip.MustParsePrefix("::/96")           // RFC 4291, 2.5.5.1
	translated   = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765
	nat64        = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	nat64Local   = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	sixToFour    = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo       = netip.MustParsePrefix("2001::/32")       // RFC 4380
	isatapMiddle = []uint32{0x00005efe, 0x02005efe}         // RFC 5214
)

// embedded are the IPv4 addresses that an IPv6 address may lead to: a gateway
// decides by one of these forms. None for any other address.
func embedded(addr netip.Addr) []netip.Addr {
	if !addr.Is6() {
		return nil
	}
	b := addr.As16()
	last, first := v4(b[12:]), v4(b[2:6])
	switch {
	case addr.IsLoopback(), addr.IsUnspecified():
		return nil
	case compatible.Contains(addr), translated.Contains(addr), nat64.Contains(addr):
		return []netip.Addr{last}
	case nat64Local.Contains(addr):
		// RFC 6052, 2.2: which octets hold it depends on the length of the
		// network's own prefix, 48, 56, 64 or 96 bits; octet 8 is skipped.
		return plausible(last, v4([]byte{b[6], b[7], b[9], b[10]}), v4([]byte{b[7], b[9], b[10], b[11]}), v4(b[9:13]))
	case sixToFour.Contains(addr):
		return []netip.Addr{first}
	case teredo.Contains(addr):
		// The client's address has all its bits turned; the server's has not.
		client := binary.BigEndian.Uint32(b[12:]) ^ 0xffffffff
		return []netip.Addr{v4(b[4:8]), v4(binary.BigEndian.AppendUint32(nil, client))}
	case slices.Contains(isatapMiddle, binary.BigEndian.Uint32(b[8:12])):
		return []netip.Addr{last}
	}
	return nil
}

// plausible are those outside of 0.0.0.0/8, which padding looks like; where
// there is none, the first.
func plausible(addrs ...netip.Addr) []netip.Addr {
	first := addrs[0]
	addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool { return a.As4()[0] == 0 })
	if len(addrs) == 0 {
		return []netip.Addr{first}
	}
	return addrs
}

func v4(octets []byte) netip.Addr { return netip.AddrFrom4([4]byte(octets[:4])) }
