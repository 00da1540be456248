import RecallKernels

/// How often a step was done, and its recording once there is one.
struct RecordedStep {
    fileprivate var count = 0
    fileprivate var recording: Recording?
}

/// What a step queues, as a graph.
private struct Recording {
    let graph: DriverObject?
    /// Made from the graph, of whose nodes its own go by the names.
    let executable: DriverObject?
    /// The node that tells the device which step it is.
    let first: DriverObject?
}

extension CUDABackend {
    /// Enough for the host never to be waited for, few enough for progress to be seen.
    public var stepsAhead: Int { 64 }

    public func step(_ key: StepKey, _ scalars: StepScalars, _ body: () throws -> Void) rethrows {
        do { try device.makeCurrent() } catch { return fail(error) }
        cellAtHand = stepCell
        defer {
            cellAtHand = nil
            forgetLateSums()
        }
        let cell = StepCell(scalars)
        var step = steps[key] ?? RecordedStep()
        step.count += 1
        if let recording = step.recording {
            tell(recording, cell)
        } else if step.count > 1 {
            step.recording = try record { try queue(cell, body) }
        } else {
            // The first does what is done only once: memory is taken, kernels are compiled, products are planned.
            try queue(cell, body)
        }
        steps[key] = step
        guard failure == nil, let recording = step.recording else { return }
        check(device.driver.launchGraph(recording.executable, stream), "a recorded step")
    }

    /// Queues a whole step.
    private func queue(_ cell: StepCell, _ body: () throws -> Void) rethrows {
        launch("batch", "setStep", Self.one, stepCell, cell)
        try body()
        addLateSums()
    }

    private static let one = LaunchGrid(blocks: 1, threads: 1)

    /// Has a recorded step's first kernel set another cell; what was queued before keeps its own.
    private func tell(_ recording: Recording, _ cell: StepCell) {
        let function: DriverObject
        do throws(BackendError) {
            function = try kernels.function("batch", "setStep")
        } catch { return fail(error) }
        let status = withAddresses(of: [stepCell, cell]) { addresses in
            withUnsafeBytes(of: KernelNode(function, Self.one, addresses)) {
                device.driver.setNode(recording.executable, recording.first, $0.baseAddress.unsafelyUnwrapped)
            }
        }
        check(status, "a recorded step")
    }

    /// What `body` queues, as a graph that begins with the kernel that sets the cell; nil where the device failed.
    private func record(_ body: () throws -> Void) rethrows -> Recording? {
        try CUDADevice.exclusively {
            let graph = try capture(body)
            guard failure == nil, let recording = instantiate(graph) else {
                _ = device.driver.destroyGraph(graph)
                return nil
            }
            return recording
        }
    }

    private func instantiate(_ graph: DriverObject?) -> Recording? {
        let driver = device.driver
        var (count, first): (Int, DriverObject?) = (0, nil)
        guard check(driver.graphRoots(graph, nil, &count), "a recorded step") else { return nil }
        precondition(count == 1, "a step that begins with \(count) kernels at once")
        var executable: DriverObject?
        guard check(driver.graphRoots(graph, &first, &count), "a recorded step"),
            check(driver.instantiateGraph(&executable, graph, 0), "a recorded step")
        else { return nil }
        return Recording(graph: graph, executable: executable, first: first)
    }

    private func capture(_ body: () throws -> Void) rethrows -> DriverObject? {
        let driver = device.driver
        // CU_STREAM_CAPTURE_MODE_RELAXED: other runs' threads, and copies on another stream, go on meanwhile.
        guard failure == nil, check(driver.beginCapture(stream, 2), "recording a step") else { return nil }
        isRecording = true
        var graph: DriverObject?
        do {
            try body()
            isRecording = false
            check(driver.endCapture(stream, &graph), "recording a step")
        } catch {
            isRecording = false
            _ = driver.endCapture(stream, &graph)
            _ = driver.destroyGraph(graph)
            throw error
        }
        return graph
    }

    func forgetSteps() {
        for step in steps.values {
            guard let recording = step.recording else { continue }
            _ = device.driver.destroyExecutableGraph(recording.executable)
            _ = device.driver.destroyGraph(recording.graph)
        }
        steps = [:]
        for constant in constants { release(constant.address, bytes: constant.bytes) }
        constants = []
    }
}
