#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Whole pages of memory, straight from the system and back: what is given back counts as this process's no more.
enum Pages {
    /// Memory that becomes resident as it is touched, or nil where the system has no address space for it.
    static func map(bytes: Int) -> UnsafeMutableRawPointer? {
        let address = mmap(
            nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        return address == MAP_FAILED ? nil : address
    }

    static func unmap(_ address: UnsafeMutableRawPointer, bytes: Int) {
        munmap(address, bytes)
    }
}
