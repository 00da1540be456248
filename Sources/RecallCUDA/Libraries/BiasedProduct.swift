import RecallKernels

/// y = x Wᵀ + bias of one shape in one call of cuBLASLt: its plan, made once.
final class BiasedProduct {
    private let library: PlannedProductLibrary
    private var product, weight, x, y: PlannedProductLibrary.Descriptor?
    private var choice = Choice()

    /// cublasLtMatmulHeuristicResult_t.
    private struct Choice {
        var algorithm: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) =
            (0, 0, 0, 0, 0, 0, 0, 0)
        var workspaceBytes = 0
        var status = Int32(0)
        var waves = Float(0)
        var reserved: (Int32, Int32, Int32, Int32) = (0, 0, 0, 0)
    }

    /// Of all matrices, the bias and the workspace.
    static let alignment = 16

    /// Whether the plan takes matrices of such rows: all of them begin at multiples of `alignment`.
    static func takes(_ shape: LinearShape) -> Bool {
        let floats = alignment / MemoryLayout<Float>.stride
        return shape.rows > 0
            && [shape.inputs, shape.outputs, shape.inputStride].allSatisfy { $0 % floats == 0 }
    }

    /// nil where the library has no algorithm for the shape.
    ///
    /// - Parameters:
    ///   - computeType: a cublasComputeType_t.
    ///   - workspaceBytes: what the product may use.
    /// - Throws: `BackendError.failed`.
    init?(
        _ shape: LinearShape,
        _ library: PlannedProductLibrary,
        _ handle: MatrixLibrary.Handle?,
        computeType: Int32,
        workspaceBytes: Int
    ) throws(BackendError) {
        self.library = library
        let (inputs, outputs, rows) = (UInt64(shape.inputs), UInt64(shape.outputs), UInt64(shape.rows))
        try Self.check(library.createProduct(&product, computeType, 0), "a product", shape)
        // Column-major, yᵀ (outputs, rows) = W·xᵀ: what lies in memory is Wᵀ and xᵀ. CUBLASLT_EPILOGUE_BIAS adds to rows.
        try set(.transposeA, Int32(1), shape)
        try set(.transposeB, Int32(0), shape)
        try set(.epilogue, UInt32(4), shape)
        try Self.check(library.createLayout(&weight, 0, inputs, outputs, Int64(inputs)), "the weight", shape)
        try Self.check(library.createLayout(&x, 0, inputs, rows, Int64(shape.inputStride)), "x", shape)
        try Self.check(library.createLayout(&y, 0, outputs, rows, Int64(outputs)), "y", shape)
        guard let choice = try plan(handle, shape, workspaceBytes: workspaceBytes) else { return nil }
        self.choice = choice
    }

    deinit {
        _ = library.destroyProduct(product)
        for layout in [weight, x, y] { _ = library.destroyLayout(layout) }
    }

    private func plan(
        _ handle: MatrixLibrary.Handle?,
        _ shape: LinearShape,
        workspaceBytes: Int
    ) throws(BackendError) -> Choice? {
        var preference: PlannedProductLibrary.Descriptor?
        try Self.check(library.createPreference(&preference), "a plan", shape)
        defer { _ = library.destroyPreference(preference) }
        func prefer<Value>(_ attribute: PlanAttribute, _ value: Value) throws(BackendError) {
            let status = withUnsafeBytes(of: value) {
                library.setPreference(
                    preference,
                    attribute.rawValue,
                    $0.baseAddress.unsafelyUnwrapped,
                    $0.count
                )
            }
            try Self.check(status, "\(attribute)", shape)
        }
        try prefer(.workspaceBytes, UInt64(workspaceBytes))
        // All but sums of parts in place, whose order is chance (CUBLASLT_REDUCTION_SCHEME_INPLACE).
        try prefer(.reductionSchemes, UInt32(7 & ~1))
        for matrix in [PlanAttribute.alignmentA, .alignmentB, .alignmentC, .alignmentD] {
            try prefer(matrix, UInt32(Self.alignment))
        }
        var (best, count) = (Choice(), Int32(0))
        let status = library.choose(handle, product, weight, x, y, y, preference, 1, &best, &count)
        return status == 0 && count > 0 && best.status == 0 ? best : nil
    }

    private func set<Value>(
        _ attribute: ProductAttribute,
        _ value: Value,
        _ shape: LinearShape
    ) throws(BackendError) {
        let status = withUnsafeBytes(of: value) {
            library.setProduct(product, attribute.rawValue, $0.baseAddress.unsafelyUnwrapped, $0.count)
        }
        try Self.check(status, "\(attribute)", shape)
    }

    /// Queues the product of one layer.
    ///
    /// - Parameter workspace: as many bytes as the plan may use.
    /// - Throws: `BackendError.failed`.
    func queue(
        _ layer: LinearLayerForward,
        bias: Floats,
        x input: Floats,
        _ handle: MatrixLibrary.Handle?,
        workspace: DeviceAddress,
        on stream: DriverObject?
    ) throws(BackendError) {
        var (one, zero) = (Float(1), Float(0))
        let output = DeviceAddress(UInt(bitPattern: layer.y))
        try set(.biasAddress, DeviceAddress(UInt(bitPattern: bias)), layer.shape)
        let status = withUnsafeBytes(of: choice.algorithm) {
            library.product(
                handle,
                product,
                &one,
                DeviceAddress(UInt(bitPattern: layer.weight)),
                weight,
                DeviceAddress(UInt(bitPattern: input)),
                x,
                &zero,
                output,
                y,
                output,
                y,
                $0.baseAddress.unsafelyUnwrapped,
                workspace,
                choice.workspaceBytes,
                stream
            )
        }
        try Self.check(status, "a product", layer.shape)
    }

    private static func check(
        _ status: Int32,
        _ what: String,
        _ shape: LinearShape
    ) throws(BackendError) {
        guard status != 0 else { return }
        throw .failed("cuBLASLt: \(what) of \(shape): status \(status)")
    }
}
