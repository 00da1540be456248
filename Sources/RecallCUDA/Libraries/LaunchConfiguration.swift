/// CUlaunchConfig of cuda.h: how a kernel is launched, its attributes apart.
struct LaunchConfiguration {
    private let blocksX, blocksY, blocksZ: UInt32
    private let threadsX, threadsY, threadsZ: UInt32
    private let sharedBytes: UInt32
    private let stream: DriverObject?
    private let attributes: UnsafePointer<LaunchAttribute>
    private let attributeCount: UInt32

    init(_ grid: LaunchGrid, stream: DriverObject?, attribute: UnsafePointer<LaunchAttribute>) {
        (blocksX, blocksY, blocksZ) = (UInt32(grid.blocks.x), UInt32(grid.blocks.y), UInt32(grid.blocks.z))
        (threadsX, threadsY, threadsZ) = (UInt32(grid.threads.x), UInt32(grid.threads.y), 1)
        sharedBytes = UInt32(grid.sharedBytes)
        self.stream = stream
        (attributes, attributeCount) = (attribute, 1)
    }
}

/// CUlaunchAttribute of cuda.h.
struct LaunchAttribute {
    private let name: Int32
    private let padding: Int32 = 0
    /// A union of 64 bytes, which a number comes first in.
    private let value: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)

    /// The kernel may start while the one before on its stream still runs, and itself waits for that
    /// (CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION).
    static let startsEarly = LaunchAttribute(name: 6, value: (1, 0, 0, 0, 0, 0, 0, 0))
}

/// CUDA_KERNEL_NODE_PARAMS of cuda.h, its first version: a kernel in a graph.
struct KernelNode {
    private let function: DriverObject
    private let blocksX, blocksY, blocksZ: UInt32
    private let threadsX, threadsY, threadsZ: UInt32
    private let sharedBytes: UInt32
    private let parameters: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    private let extra: UnsafeRawPointer? = nil

    init(
        _ function: DriverObject,
        _ grid: LaunchGrid,
        _ parameters: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    ) {
        self.function = function
        (blocksX, blocksY, blocksZ) = (UInt32(grid.blocks.x), UInt32(grid.blocks.y), UInt32(grid.blocks.z))
        (threadsX, threadsY, threadsZ) = (UInt32(grid.threads.x), UInt32(grid.threads.y), 1)
        sharedBytes = UInt32(grid.sharedBytes)
        self.parameters = parameters
    }
}

extension Driver {
    /// Queues a kernel.
    ///
    /// - Parameters:
    ///   - parameters: the address of each.
    ///   - startsEarly: whether the kernel may start while the one before still runs, for which it must itself wait.
    func launch(
        _ function: DriverObject,
        _ grid: LaunchGrid,
        _ parameters: UnsafeMutablePointer<UnsafeMutableRawPointer?>,
        on stream: DriverObject?,
        startsEarly: Bool
    ) -> DriverStatus {
        guard startsEarly, let launchConfiguredKernel else {
            return launchKernel(
                function,
                UInt32(grid.blocks.x),
                UInt32(grid.blocks.y),
                UInt32(grid.blocks.z),
                UInt32(grid.threads.x),
                UInt32(grid.threads.y),
                1,
                UInt32(grid.sharedBytes),
                stream,
                parameters,
                nil
            )
        }
        return withUnsafePointer(to: LaunchAttribute.startsEarly) { attribute in
            withUnsafeBytes(of: LaunchConfiguration(grid, stream: stream, attribute: attribute)) {
                launchConfiguredKernel($0.baseAddress.unsafelyUnwrapped, function, parameters, nil)
            }
        }
    }
}
