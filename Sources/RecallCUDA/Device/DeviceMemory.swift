import RecallKernels

/// Ranges of a device's address space whose memory is taken as it is needed, so that what lies in them never moves.
///
/// Small ranges that are given back are kept for the next of their size: mapping memory takes the driver longer than a
/// step. Who takes one must use it on the stream of the one before, or wait for that.
final class DeviceMemory {
    private let device: CUDADevice
    /// Memory comes in multiples of this.
    private let granularity: Int
    private var ranges: [DeviceAddress: Range] = [:]
    /// Ranges that nobody has, by size, memory under all of each.
    private var kept: [Int: [DeviceAddress]] = [:]
    private var keptBytes = 0
    /// Bytes of them together at most.
    private static let mostKept = 256 << 20

    private struct Range {
        let bytes: Int
        /// Bytes from the start on that memory lies under.
        var mapped = 0
        var pieces: [(handle: UInt64, offset: Int, bytes: Int)] = []
    }

    /// - Throws: `BackendError.failed`.
    init(_ device: CUDADevice) throws(BackendError) {
        self.device = device
        var granularity = 0
        let status = withUnsafeBytes(of: AllocationProperties(device: device.index)) {
            device.driver.allocationGranularity(&granularity, $0.baseAddress!, 0)
        }
        try device.driver.require(status, "the granularity of memory")
        self.granularity = granularity
    }

    /// Address space of at least so many bytes, with no memory under it that could be relied on yet.
    ///
    /// - Parameter reuses: whether it may be a range that was given back.
    /// - Throws: `BackendError.outOfMemory`.
    func reserve(bytes: Int, reuses: Bool = false) throws -> DeviceAddress {
        let bytes = rounded(bytes)
        if reuses, let address = kept[bytes]?.popLast() {
            keptBytes -= bytes
            return address
        }
        var address = DeviceAddress(0)
        let status = CUDADevice.exclusively { device.driver.reserveAddresses(&address, bytes, 0, 0, 0) }
        guard status == 0 else { throw BackendError.outOfMemory(bytes: bytes) }
        ranges[address] = Range(bytes: bytes)
        return address
    }

    /// Address space of at least so many bytes with memory under it.
    ///
    /// - Throws: `BackendError.outOfMemory`.
    func allocate(bytes: Int) throws -> DeviceAddress {
        let address = try reserve(bytes: bytes)
        guard commit(address, bytes: bytes) else {
            release(address)
            throw BackendError.outOfMemory(bytes: bytes)
        }
        return address
    }

    /// Sees to it that memory lies under the first `bytes` of a range; false where the device has no more.
    func commit(_ address: DeviceAddress, bytes: Int) -> Bool {
        guard var range = ranges[address] else { preconditionFailure("not a reserved range") }
        guard bytes > range.mapped else { return true }
        guard bytes <= range.bytes else { return false }
        return CUDADevice.exclusively {
            if extend(address, &range, to: bytes) { return true }
            // What is kept may be what is missing; kernels may still be at work in it.
            guard keptBytes > 0, device.driver.synchroniseContext() == 0 else { return false }
            releaseKept()
            return extend(address, &range, to: bytes)
        }
    }

    private func extend(_ address: DeviceAddress, _ range: inout Range, to bytes: Int) -> Bool {
        // In pieces that grow with the range: few of them, and not much more than is used.
        let wanted = max(bytes - range.mapped, min(range.mapped / 4, 256 << 20))
        let piece = min(rounded(wanted), range.bytes - range.mapped)
        let driver = device.driver
        let properties = AllocationProperties(device: device.index)
        var handle = UInt64(0)
        guard withUnsafeBytes(of: properties, { driver.createMemory(&handle, piece, $0.baseAddress!, 0) }) == 0
        else { return false }
        let at = address + DeviceAddress(range.mapped)
        guard driver.mapMemory(at, piece, 0, handle, 0) == 0 else {
            _ = driver.releaseMemory(handle)
            return false
        }
        let access = AccessDescription(device: device.index)
        guard withUnsafeBytes(of: access, { driver.setAccess(at, piece, $0.baseAddress!, 1) }) == 0 else {
            _ = driver.unmapMemory(at, piece)
            _ = driver.releaseMemory(handle)
            return false
        }
        range.pieces.append((handle, range.mapped, piece))
        range.mapped += piece
        ranges[address] = range
        return true
    }

    /// Keeps a range for the next of its size, if it is small.
    ///
    /// - Returns: false where it must be released.
    func keep(_ address: DeviceAddress) -> Bool {
        guard let range = ranges[address] else { preconditionFailure("not a reserved range") }
        guard range.mapped == range.bytes, keptBytes + range.bytes <= Self.mostKept else { return false }
        kept[range.bytes, default: []].append(address)
        keptBytes += range.bytes
        return true
    }

    /// Gives back what is kept. Nothing may be at work in it.
    func releaseKept() {
        let addresses = kept.values.flatMap { $0 }
        (kept, keptBytes) = ([:], 0)
        addresses.forEach(release)
    }

    /// Nothing may be at work in the range. A device that has failed refuses, which leaves nothing to be done.
    func release(_ address: DeviceAddress) {
        guard let range = ranges.removeValue(forKey: address) else {
            preconditionFailure("not a reserved range")
        }
        let driver = device.driver
        CUDADevice.exclusively {
            for piece in range.pieces {
                _ = driver.unmapMemory(address + DeviceAddress(piece.offset), piece.bytes)
                _ = driver.releaseMemory(piece.handle)
            }
            _ = driver.freeAddresses(address, range.bytes)
        }
    }

    /// Bytes of all memory taken.
    var bytes: Int { ranges.values.reduce(0) { $0 + $1.mapped } }

    private func rounded(_ bytes: Int) -> Int {
        max(1, (bytes + granularity - 1) / granularity) * granularity
    }
}

/// CUmemAllocationProp: pinned memory of one device.
private struct AllocationProperties {
    private let type: Int32 = 1
    private let handleTypes: Int32 = 0
    private let locationType: Int32 = 1
    private let locationID: Int32
    private let windowsMetadata: UInt64 = 0
    private let flags: UInt64 = 0

    init(device: Int) { locationID = Int32(device) }
}

/// CUmemAccessDesc: the device may read and write.
private struct AccessDescription {
    private let locationType: Int32 = 1
    private let locationID: Int32
    private let flags: Int32 = 3

    init(device: Int) { locationID = Int32(device) }
}
