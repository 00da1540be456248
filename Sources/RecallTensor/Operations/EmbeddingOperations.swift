import RecallKernels
import RecallRandom

/// Token ids or row numbers in device memory, with the arena block that holds them.
public struct IntegerTensor {
    public let count: Int
    let storage: Storage
    var pointer: MutableIntegers { storage.address.assumingMemoryBound(to: Int32.self) }
    var values: Integers { Integers(pointer) }
}

/// What a head and its loss come to for the labelled rows of a batch.
public struct HeadOutput {
    /// (rows): -log softmax(label).
    public let losses: Tensor
    /// (rows): 1 where the label has the largest logit.
    public let correct: Tensor
}

extension Tape {
    /// Integers from the host.
    public func integers(_ numbers: [Int32]) -> IntegerTensor {
        let holder = tensor([max(numbers.count, 1)])
        let result = IntegerTensor(count: numbers.count, storage: holder.storage)
        launch {
            numbers.withUnsafeBytes { bytes in
                guard let address = bytes.baseAddress, !bytes.isEmpty else { return }
                backend.copyFromHost(address, holder.pointer, bytes: bytes.count)
            }
        }
        return result
    }

    /// The place of so many, which hold anything.
    public func integers(count: Int) -> IntegerTensor {
        IntegerTensor(count: count, storage: tensor([max(count, 1)]).storage)
    }

    /// The examples of the step at hand.
    public func batch(
        _ shape: BatchShape
    ) -> (tokens: IntegerTensor, labelledRows: IntegerTensor, labels: IntegerTensor) {
        let tokens = integers(count: shape.batch * shape.length)
        let rows = integers(count: shape.batch * shape.pairs)
        let labels = integers(count: shape.batch * shape.pairs)
        launch {
            backend.gatherBatch(shape, tokens: tokens.pointer, rows: rows.pointer, labels: labels.pointer)
        }
        return (tokens, rows, labels)
    }

    /// Writes the sum of a tensor's numbers as the right answers of the step at hand.
    public func recordCorrect(_ correct: Tensor) {
        launch { backend.recordCorrect(correct.count, correct: correct.values) }
    }

    /// Writes the sum of a tensor's numbers as the loss of the step at hand.
    ///
    /// - Returns: false where it is known not to be finite.
    public func recordLoss(_ losses: Tensor) -> Bool {
        var goesOn = true
        launch { goesOn = backend.recordLoss(losses.count, losses: losses.values) }
        return goesOn
    }

    /// dropout(table[token] + positions): (batch, length, width).
    ///
    /// - Parameters:
    ///   - tokens: (batch, length).
    ///   - dropoutSite: which dropout of the model this is.
    public func embedding(
        _ tokens: IntegerTensor,
        batch: Int,
        table: Parameter,
        positions: Parameter?,
        firstPosition: Int = 0,
        dropoutProbability: Double,
        dropoutSite: Int
    ) -> Tensor {
        let length = tokens.count / batch
        precondition(tokens.count == batch * length)
        precondition(positions.map { $0.shape[0] >= firstPosition + length } ?? true)
        let shape = EmbeddingShape(
            batch: batch,
            length: length,
            width: table.shape[1],
            vocabulary: table.shape[0]
        )
        let mask = dropout(probability: dropoutProbability, site: dropoutSite)
        let y = tensor([batch, length, shape.width])
        record(
            "embedding",
            output: y,
            work: shape.work,
            forward: {
                backend.embeddingForward(
                    shape,
                    tokens: tokens.values,
                    table: table.value,
                    positions: positions.map { Floats($0.value) },
                    firstPosition: firstPosition,
                    dropout: mask,
                    y: y.pointer
                )
            },
            backward: { [unowned self, y = y.gradientOnly] in
                guard let dy = y.gradient else { return }
                // The kernel adds, so what nobody has written yet starts from zero.
                for parameter in [table, positions].compactMap({ $0 }) where !parameter.hasGradient {
                    launch { backend.fillZero(parameter.count, y: parameter.gradient) }
                    parameter.hasGradient = true
                }
                launch {
                    backend.embeddingBackward(
                        shape,
                        tokens: tokens.values,
                        dropout: mask,
                        dy: dy.values,
                        dTable: table.gradient,
                        dPositions: positions?.gradient
                    )
                }
            }
        )
        return y
    }

    /// The given rows of x: (count, width).
    ///
    /// - Parameter rows: ascending and distinct.
    public func gatherRows(_ x: Tensor, rows: IntegerTensor) -> Tensor {
        let y = tensor([rows.count, x.width])
        let (total, width) = (x.rows, x.width)
        record(
            "labelled rows",
            output: y,
            work: .words(forward: 2 * rows.count * width, backward: (total + rows.count) * width),
            forward: {
                backend.gatherRows(
                    count: rows.count,
                    width: width,
                    x: x.values,
                    rows: rows.values,
                    y: y.pointer
                )
            },
            backward: { [unowned self, x = x.gradientOnly, y = y.gradientOnly] in
                guard let dy = y.gradient else { return }
                let dx = gradientTarget(x)
                launch {
                    backend.scatterRows(
                        total: total,
                        count: rows.count,
                        width: width,
                        dy: dy.values,
                        rows: rows.values,
                        dx: dx.pointer
                    )
                }
                commit(dx, to: x)
            }
        )
        return y
    }

    /// The tied vocabulary head with softmax cross-entropy; the objective is the mean of the losses.
    ///
    /// In training forward makes the gradients at once, block of rows by block, so that no logits are kept.
    public func headLoss(_ hidden: Tensor, table: Parameter, labels: IntegerTensor) -> HeadOutput {
        precondition(hidden.rows == labels.count)
        let shape = HeadShape(rows: hidden.rows, width: hidden.width, vocabulary: table.shape[0])
        let output = HeadOutput(losses: tensor([shape.rows]), correct: tensor([shape.rows]))
        let scale = 1 / Float(shape.rows)
        guard isTraining else {
            launch {
                backend.headLoss(
                    shape,
                    hidden: hidden.values,
                    table: table.value,
                    labels: labels.values,
                    gradientScale: scale,
                    losses: output.losses.pointer,
                    correct: output.correct.pointer,
                    dHidden: nil,
                    dTable: nil
                )
            }
            return output
        }
        let dHidden = tensor(hidden.shape)
        record(
            "loss",
            output: output.losses,
            work: shape.work,
            forward: {
                parameterGradient(table) { dTable in
                    backend.headLoss(
                        shape,
                        hidden: hidden.values,
                        table: table.value,
                        labels: labels.values,
                        gradientScale: scale,
                        losses: output.losses.pointer,
                        correct: output.correct.pointer,
                        dHidden: dHidden.pointer,
                        dTable: dTable
                    )
                }
            },
            backward: { [unowned self, hidden = hidden.gradientOnly] in
                accumulate(dHidden, into: hidden)
            }
        )
        return output
    }

    /// Logits of every row: (rows, vocabulary). For decoding, and for evaluation on few rows; has no backward.
    public func logits(_ hidden: Tensor, table: Parameter) -> Tensor {
        precondition(!isTraining)
        let shape = LinearShape(rows: hidden.rows, inputs: hidden.width, outputs: table.shape[0])
        let y = tensor([hidden.rows, shape.outputs])
        record(
            "logits",
            output: y,
            work: KernelWork(forward: shape.work.forward, backward: Work()),
            forward: {
                backend.linearForward(shape, x: hidden.values, weight: table.value, bias: nil, y: y.pointer)
            },
            backward: {}
        )
        return y
    }
}
