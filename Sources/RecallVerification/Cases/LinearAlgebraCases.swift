import RecallKernels

/// Linear layers: rows of a part of a block, of one, of several, none; inputs as columns of a wider matrix; layers of the
/// same input; gradients that are not asked for.
enum LinearAlgebraCases {
    static let all: [KernelCase] = shapes.flatMap { [forward($0, bias: true), backward($0)] } + others

    private static let shapes = [
        LinearShape(rows: 1, inputs: 1, outputs: 1), LinearShape(rows: 3, inputs: 15, outputs: 7),
        LinearShape(rows: 63, inputs: 64, outputs: 65), LinearShape(rows: 64, inputs: 64, outputs: 64),
        LinearShape(rows: 65, inputs: 33, outputs: 130), LinearShape(rows: 128, inputs: 128, outputs: 384),
        LinearShape(rows: 1025, inputs: 17, outputs: 66), LinearShape(rows: 9300, inputs: 5, outputs: 19),
        LinearShape(rows: 65, inputs: 33, outputs: 40, inputStride: 71),
        LinearShape(rows: 257, inputs: 64, outputs: 64, inputStride: 192),
        LinearShape(rows: 1, inputs: 128, outputs: 384), LinearShape(rows: 1030, inputs: 64, outputs: 192),
        LinearShape(rows: 2051, inputs: 36, outputs: 68, inputStride: 40),
        LinearShape(rows: 1100, inputs: 128, outputs: 260), LinearShape(rows: 1027, inputs: 132, outputs: 8),
        LinearShape(rows: 1030, inputs: 60, outputs: 20, inputStride: 132),
        LinearShape(rows: 34_000, inputs: 32, outputs: 4),
    ]

    private static var others: [KernelCase] {
        let shape = LinearShape(rows: 2100, inputs: 5, outputs: 9)
        let together = [
            [7, 33].map { LinearShape(rows: 65, inputs: 17, outputs: $0, inputStride: 20) },
            [16, 16, 64].map { LinearShape(rows: 1031, inputs: 64, outputs: $0) },
            [36, 20, 4, 12].map { LinearShape(rows: 1100, inputs: 100, outputs: $0, inputStride: 104) },
        ]
        return [
            forward(LinearShape(rows: 65, inputs: 33, outputs: 130), bias: false),
            backward(shape, [.x]), backward(shape, [.weight]), backward(shape, [.bias]),
            backward(LinearShape(rows: 1100, inputs: 20, outputs: 72), [.weight]),
            backward(LinearShape(rows: 65, inputs: 33, outputs: 40, inputStride: 71), [.x]),
            backward(LinearShape(rows: 0, inputs: 5, outputs: 9), [.weight, .bias]),
            backward(LinearShape(rows: 65, inputs: 33, outputs: 40, inputStride: 71), addsToDx: true),
            backward(LinearShape(rows: 1100, inputs: 36, outputs: 68), addsToDx: true),
            backward(LinearShape(rows: 1100, inputs: 68, outputs: 104, inputStride: 72), addsToDx: true),
        ] + together.flatMap { [forwardTogether($0), backwardTogether($0)] }
    }

    private struct Gradients: OptionSet {
        let rawValue: Int
        static let x = Gradients(rawValue: 1)
        static let weight = Gradients(rawValue: 2)
        static let bias = Gradients(rawValue: 4)
        static let all: Gradients = [.x, .weight, .bias]

        var words: String {
            if self == .all { return "" }
            let names = [(Gradients.x, "dx"), (.weight, "dWeight"), (.bias, "dBias")]
            return names.filter { contains($0.0) }.map(\.1).joined(separator: " and ") + " only"
        }
    }

    private static func sizes(_ shape: LinearShape) -> [CaseSize] {
        [.rows(shape.rows), .inputs(shape.inputs), .outputs(shape.outputs)]
    }

    private static func words(_ shape: LinearShape, _ more: String) -> String {
        let stride = shape.inputStride == shape.inputs ? "" : "rows of x \(shape.inputStride) apart"
        return [stride, more].filter { !$0.isEmpty }.joined(separator: ", ")
    }

    /// x or dx among the columns of a wider matrix.
    private static func rows(_ shape: LinearShape) -> Rows {
        Rows(count: shape.rows, width: shape.inputs, stride: shape.inputStride, offset: 0)
    }

    private static func input(_ shape: LinearShape, _ p: inout Problem) -> Operand {
        let buffer = p.buffer(shape.rows * shape.inputStride)
        return p.input("x", numbers(shape.rows * shape.inputs, 1), in: buffer, rows(shape), isFactor: true)
    }

    private static func forward(_ shape: LinearShape, bias hasBias: Bool) -> KernelCase {
        KernelCase("linearForward", sizes(shape), words(shape, hasBias ? "" : "no bias")) { p in
            let x = input(shape, &p)
            let weight = p.input("weight", numbers(shape.outputs * shape.inputs, 2), isFactor: true)
            let bias = hasBias ? p.input("bias", numbers(shape.outputs, 3)) : nil
            let y = p.output("y", shape.rows * shape.outputs, bound: 1e-5)
            p.call = { $0.linearForward(shape, x: $1[x], weight: $1[weight], bias: $1[ifAny: bias], y: $1[y]) }
            p.reference = {
                [
                    Expectation(
                        y,
                        LinearAlgebraReference.forward(
                            shape,
                            x: $0[x],
                            weight: $0[weight],
                            bias: $0[ifAny: bias]
                        )
                    )
                ]
            }
        }
    }

    private static func backward(
        _ shape: LinearShape,
        _ wanted: Gradients = .all,
        addsToDx: Bool = false
    ) -> KernelCase {
        KernelCase("linearBackward", sizes(shape), words(shape, addsToDx ? "adds to dx" : wanted.words)) { p in
            let x = input(shape, &p)
            let weight = p.input("weight", numbers(shape.outputs * shape.inputs, 2), isFactor: true)
            let dy = p.input("dy", numbers(shape.rows * shape.outputs, 4), isFactor: true)
            let dxBuffer = p.buffer(shape.rows * shape.inputStride)
            let dx =
                addsToDx
                ? p.update("dx", numbers(shape.rows * shape.inputs, 5), in: dxBuffer, rows(shape), bound: 1e-5)
                : wanted.contains(.x) ? p.output("dx", in: dxBuffer, rows(shape), bound: 1e-5) : nil
            let dWeight =
                wanted.contains(.weight) ? p.output("dWeight", shape.outputs * shape.inputs, bound: 1e-4) : nil
            let dBias = wanted.contains(.bias) ? p.output("dBias", shape.outputs, bound: 1e-4) : nil
            p.call = {
                $0.linearBackward(
                    shape,
                    x: $1[x],
                    weight: $1[weight],
                    dy: $1[dy],
                    dx: $1[ifAny: dx],
                    addsToDx: addsToDx,
                    dWeight: $1[ifAny: dWeight],
                    dBias: $1[ifAny: dBias]
                )
            }
            p.reference = { value in
                let all = LinearAlgebraReference.backward(
                    shape,
                    x: value[x],
                    weight: value[weight],
                    dy: value[dy]
                )
                let before = dx.map { addsToDx ? value[$0] : [] } ?? []
                let sum = before.isEmpty ? all.dx : zip(before, all.dx).map(+)
                return [(dx, sum), (dWeight, all.dWeight), (dBias, all.dBias)].compactMap {
                    operand,
                    values in
                    operand.map { Expectation($0, values) }
                }
            }
        }
    }

    // MARK: Layers of the same input

    private static func togetherSizes(_ shapes: [LinearShape]) -> [CaseSize] {
        [.rows(shapes[0].rows), .inputs(shapes[0].inputs), .outputs(shapes.reduce(0) { $0 + $1.outputs })]
    }

    private static func forwardTogether(_ shapes: [LinearShape]) -> KernelCase {
        let outputs = shapes.map { "\($0.outputs)" }.joined(separator: ", ")
        return KernelCase(
            "linearForward",
            togetherSizes(shapes),
            words(shapes[0], "layers of \(outputs) outputs together")
        ) { p in
            let x = input(shapes[0], &p)
            let layers = shapes.enumerated().map { index, shape in
                let name = "\(index + 1)"
                return (
                    shape: shape,
                    weight: p.input(
                        "weight" + name,
                        numbers(shape.outputs * shape.inputs, UInt64(10 + index)),
                        isFactor: true
                    ),
                    bias: index == 0 ? p.input("bias" + name, numbers(shape.outputs, UInt64(20 + index))) : nil,
                    y: p.output("y" + name, shape.rows * shape.outputs, bound: 1e-5)
                )
            }
            p.call = { backend, at in
                backend.linearForward(
                    layers.map {
                        LinearLayerForward(
                            $0.shape,
                            weight: at[$0.weight],
                            bias: at[ifAny: $0.bias],
                            y: at[$0.y]
                        )
                    },
                    x: at[x]
                )
            }
            p.reference = { value in
                layers.map {
                    Expectation(
                        $0.y,
                        LinearAlgebraReference.forward(
                            $0.shape,
                            x: value[x],
                            weight: value[$0.weight],
                            bias: value[ifAny: $0.bias]
                        )
                    )
                }
            }
        }
    }

    /// dx is the sum over the layers; the last layer's bias has no gradient, and the first's weight none.
    private static func backwardTogether(_ shapes: [LinearShape]) -> KernelCase {
        let outputs = shapes.map { "\($0.outputs)" }.joined(separator: ", ")
        return KernelCase(
            "linearBackward",
            togetherSizes(shapes),
            words(shapes[0], "layers of \(outputs) outputs together")
        ) { p in
            let x = input(shapes[0], &p)
            let layers = shapes.enumerated().map { index, shape in
                let name = "\(index + 1)"
                return (
                    shape: shape,
                    weight: p.input(
                        "weight" + name,
                        numbers(shape.outputs * shape.inputs, UInt64(10 + index)),
                        isFactor: true
                    ),
                    dy: p.input(
                        "dy" + name,
                        numbers(shape.rows * shape.outputs, UInt64(20 + index)),
                        isFactor: true
                    ),
                    dWeight: index == 0
                        ? nil : p.output("dWeight" + name, shape.outputs * shape.inputs, bound: 1e-4),
                    dBias: index == 0 ? p.output("dBias" + name, shape.outputs, bound: 1e-4) : nil
                )
            }
            let dx = p.output(
                "dx",
                in: p.buffer(shapes[0].rows * shapes[0].inputStride),
                rows(shapes[0]),
                bound: 1e-5
            )
            p.call = { backend, at in
                backend.linearBackward(
                    layers.map {
                        LinearLayerBackward(
                            $0.shape,
                            weight: at[$0.weight],
                            dy: at[$0.dy],
                            dWeight: at[ifAny: $0.dWeight],
                            dBias: at[ifAny: $0.dBias]
                        )
                    },
                    x: at[x],
                    dx: at[dx],
                    addsToDx: false
                )
            }
            p.reference = { value in
                var sum = [Double](repeating: 0, count: shapes[0].rows * shapes[0].inputs)
                var expectations: [Expectation] = []
                for layer in layers {
                    let all = LinearAlgebraReference.backward(
                        layer.shape,
                        x: value[x],
                        weight: value[layer.weight],
                        dy: value[layer.dy]
                    )
                    for index in sum.indices { sum[index] += all.dx[index] }
                    if let dWeight = layer.dWeight { expectations.append(Expectation(dWeight, all.dWeight)) }
                    if let dBias = layer.dBias { expectations.append(Expectation(dBias, all.dBias)) }
                }
                return expectations + [Expectation(dx, sum)]
            }
        }
    }
}
