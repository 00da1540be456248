import RecallKernels

/// A matrix in device memory as cuBLAS sees it: column-major.
struct DeviceMatrix {
    let address: DeviceAddress
    /// Numbers from one column to the next.
    let stride: Int
    let isTransposed: Bool

    init(_ address: Floats, stride: Int, transposed: Bool = false) {
        (self.address, self.stride) = (DeviceAddress(UInt(bitPattern: address)), stride)
        isTransposed = transposed
    }
}

extension CUDABackend: LinearAlgebraKernels {
    private static let module = "linear"

    /// C ← A·B + β C, column-major: A (m, k), B (k, n), C (m, n), as they are after their transposition.
    func product(
        m: Int,
        n: Int,
        k: Int,
        _ a: DeviceMatrix,
        _ b: DeviceMatrix,
        beta: Float = 0,
        _ c: MutableFloats,
        stride: Int
    ) {
        guard m > 0, n > 0, failure == nil else { return }
        var (one, beta) = (Float(1), beta)
        let float32 = Int32(0)
        let status = matrices.product(
            matrixHandle,
            a.isTransposed ? 1 : 0,
            b.isTransposed ? 1 : 0,
            Int32(m),
            Int32(n),
            Int32(k),
            &one,
            a.address,
            float32,
            Int32(a.stride),
            b.address,
            float32,
            Int32(b.stride),
            &beta,
            DeviceAddress(UInt(bitPattern: c)),
            float32,
            Int32(stride),
            arithmetic.computeType,
            -1
        )
        if status != 0 {
            fail(.failed("cuBLAS: a product of (\(m), \(k)) and (\(k), \(n)): status \(status)"))
        }
    }

    public func linearForward(_ layers: [LinearLayerForward], x: Floats) {
        if thinForward(layers, x: x) { return }
        for layer in layers {
            let shape = layer.shape
            if let bias = layer.bias, let planned = biasedProduct(layer, bias: bias, x: x) {
                guard failure == nil else { return }
                do throws(BackendError) {
                    try planned.queue(
                        layer,
                        bias: bias,
                        x: x,
                        matrixHandle,
                        workspace: matrixWorkspace,
                        on: stream
                    )
                } catch { fail(error) }
                continue
            }
            product(
                m: shape.outputs,
                n: shape.rows,
                k: shape.inputs,
                DeviceMatrix(layer.weight, stride: shape.inputs, transposed: true),
                DeviceMatrix(x, stride: shape.inputStride),
                layer.y,
                stride: shape.outputs
            )
            if let bias = layer.bias {
                launch(
                    Self.module,
                    "addBias",
                    .covering((shape.rows * shape.outputs + 3) / 4),
                    shape.rows,
                    shape.outputs,
                    bias,
                    layer.y
                )
            }
        }
    }

    /// What adds the bias on the product's way out; nil where matrices do not begin and go on in whole quads.
    private func biasedProduct(_ layer: LinearLayerForward, bias: Floats, x: Floats) -> BiasedProduct? {
        guard BiasedProduct.takes(layer.shape), areInQuads(layer.weight, bias, x, layer.y) else { return nil }
        if let planned = biasedProducts[layer.shape] { return planned }
        do {
            let planned = try CUDADevice.exclusively { [plannedProducts, matrixHandle, arithmetic] in
                try BiasedProduct(
                    layer.shape,
                    plannedProducts,
                    matrixHandle,
                    computeType: arithmetic.computeType,
                    workspaceBytes: Self.matrixWorkspaceBytes
                )
            }
            biasedProducts.updateValue(planned, forKey: layer.shape)
            return planned
        } catch {
            fail(error as? BackendError ?? .failed("cuBLASLt: \(error)"))
            return nil
        }
    }

    public func linearBackward(_ layers: [LinearLayerBackward], x: Floats, dx: MutableFloats?, addsToDx: Bool) {
        // What is left to cuBLAS, layer by layer.
        let dx = dx.flatMap { thinBackward(layers, dx: $0, addsToDx: addsToDx) ? nil : $0 }
        for (index, layer) in layers.enumerated() {
            let shape = layer.shape
            let dy = DeviceMatrix(layer.dy, stride: shape.outputs)
            if let dx {
                product(
                    m: shape.inputs,
                    n: shape.rows,
                    k: shape.outputs,
                    DeviceMatrix(layer.weight, stride: shape.inputs),
                    dy,
                    beta: addsToDx || index > 0 ? 1 : 0,
                    dx,
                    stride: shape.inputStride
                )
            }
            if weightGradient(layer, x: x) { continue }
            if let dWeight = layer.dWeight {
                product(
                    m: shape.inputs,
                    n: shape.outputs,
                    k: shape.rows,
                    DeviceMatrix(x, stride: shape.inputStride),
                    DeviceMatrix(layer.dy, stride: shape.outputs, transposed: true),
                    dWeight,
                    stride: shape.inputs
                )
            }
            if let dBias = layer.dBias {
                columnSums(rows: shape.rows, columns: shape.outputs, layer.dy, into: dBias)
            }
        }
    }

    /// y (columns) = Σ_rows x (rows, columns), in an order that the shape fixes.
    func columnSums(rows: Int, columns: Int, _ x: Floats, into y: MutableFloats) {
        let parts = max(1, min(128, rows / 64))
        addPartials(parts: parts, to: [(columns, y)]) { partials in
            launch(
                Self.module,
                "columnSums",
                LaunchGrid(blocks: (columns + 31) / 32, parts, threads: 32, 8),
                rows,
                columns,
                x,
                partials
            )
        }
    }
}

extension Arithmetic {
    /// cublasComputeType_t: sums in float32, factors as they are or rounded.
    fileprivate var computeType: Int32 {
        switch self {
        case .fp32: 68
        case .tf32: 77
        case .bf16: 75
        }
    }
}
