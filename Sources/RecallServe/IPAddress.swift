#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Addresses as text: IPv4 and IPv6, without brackets.
public enum IPAddress {
    static func isAddress(_ text: String) -> Bool { v4(text) != nil || v6(text) != nil }

    /// Whether only this machine can reach it: localhost, 127.0.0.0/8, ::1.
    public static func isLoopback(_ host: String) -> Bool {
        if host.lowercased() == "localhost" { return true }
        if let bytes = v4(host) { return bytes[0] == 127 }
        return v6(host) == Array(repeating: 0, count: 15) + [1]
    }

    /// Whether it stands for every address of the machine: 0.0.0.0, ::.
    static func isUnspecified(_ host: String) -> Bool {
        (v4(host) ?? v6(host))?.allSatisfy { $0 == 0 } ?? false
    }

    private static func v4(_ text: String) -> [UInt8]? { bytes(text, AF_INET, count: 4) }

    private static func v6(_ text: String) -> [UInt8]? { bytes(text, AF_INET6, count: 16) }

    private static func bytes(_ text: String, _ family: Int32, count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return inet_pton(family, text, &bytes) == 1 ? bytes : nil
    }
}
