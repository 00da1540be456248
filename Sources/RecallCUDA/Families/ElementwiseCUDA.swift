import RecallKernels
import RecallRandom

extension CUDABackend: ElementwiseKernels {
    private static let module = "elementwise"

    private func pass(_ name: String, _ count: Int, _ arguments: any KernelArgument...) {
        launch(Self.module, name, .covering(count), arguments)
    }

    public func fillZero(_ count: Int, y: MutableFloats) { pass("fillZero", (count + 3) / 4, count, y) }

    public func add(_ count: Int, a: Floats, b: Floats, y: MutableFloats) {
        addLateSums()
        pass("add", (count + 3) / 4, count, a, b, y)
    }

    public func multiply(_ count: Int, a: Floats, b: Floats, y: MutableFloats) {
        pass("multiply", count, count, a, b, y)
    }

    public func applyDropout(_ count: Int, x: Floats, dropout: Dropout, y: MutableFloats) {
        pass("applyDropout", (count + 7) / 8, count, x, mask(dropout), y)
    }

    public func reluForward(_ count: Int, x: Floats, y: MutableFloats) {
        pass("reluForward", count, count, x, y)
    }

    public func reluBackward(_ count: Int, y: Floats, dy: Floats, dx: MutableFloats) {
        pass("reluBackward", count, count, y, dy, dx)
    }

    public func geluForward(_ count: Int, x: Floats, y: MutableFloats) {
        pass("geluForward", count, count, x, y)
    }

    public func geluBackward(_ count: Int, x: Floats, dy: Floats, dx: MutableFloats) {
        pass("geluBackward", count, count, x, dy, dx)
    }

    public func swigluForward(rows: Int, width: Int, x: Floats, y: MutableFloats) {
        pass("swigluForward", rows * width, rows, width, x, y)
    }

    public func swigluBackward(rows: Int, width: Int, x: Floats, dy: Floats, dx: MutableFloats) {
        pass("swigluBackward", rows * width, rows, width, x, dy, dx)
    }

    public func allFinite(_ count: Int, x: Floats) -> Bool {
        addLateSums()
        let found = UnsafeMutablePointer<Int32>(OpaquePointer(workspace(floats: 1)))
        var result = Int32(0)
        copyFromHost(&result, found, bytes: MemoryLayout<Int32>.stride)
        pass("findNotFinite", count, count, x, found)
        copyToHost(found, &result, bytes: MemoryLayout<Int32>.stride)
        return result == 0
    }
}
