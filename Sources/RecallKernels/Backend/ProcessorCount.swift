#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The cores that there are, whether or not this process may use them.
package enum ProcessorCount {
    package static let online = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
}
