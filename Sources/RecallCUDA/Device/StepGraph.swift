import RecallKernels

/// How often a step was done, and its recording once there is one.
struct RecordedStep {
    fileprivate var count = 0
    fileprivate var graph: DriverObject?
}

extension CUDABackend {
    /// Enough for the host never to be waited for, few enough for progress to be seen.
    public var stepsAhead: Int { 64 }

    public func step(_ key: StepKey, _ scalars: StepScalars, _ body: () throws -> Void) rethrows {
        device.makeCurrent()
        cellAtHand = stepCell
        defer { cellAtHand = nil }
        launch("batch", "setStep", LaunchGrid(blocks: 1, threads: 1), stepCell, StepCell(scalars))
        var step = steps[key] ?? RecordedStep()
        step.count += 1
        if step.graph == nil {
            // The first does what is done only once: memory is taken, kernels are compiled, products are planned.
            guard step.count > 1 else {
                try body()
                steps[key] = step
                return
            }
            step.graph = try record(body)
        }
        steps[key] = step
        device.driver.check(device.driver.launchGraph(step.graph, stream), "a recorded step")
    }

    /// What `body` queues, as a graph.
    private func record(_ body: () throws -> Void) rethrows -> DriverObject? {
        try CUDADevice.exclusively { try capture(body) }
    }

    private func capture(_ body: () throws -> Void) rethrows -> DriverObject? {
        let driver = device.driver
        // CU_STREAM_CAPTURE_MODE_RELAXED: other runs' threads, and copies on another stream, go on meanwhile.
        driver.check(driver.beginCapture(stream, 2), "recording a step")
        isRecording = true
        var graph: DriverObject?
        do {
            try body()
            isRecording = false
            driver.check(driver.endCapture(stream, &graph), "recording a step")
        } catch {
            isRecording = false
            _ = driver.endCapture(stream, &graph)
            _ = driver.destroyGraph(graph)
            throw error
        }
        var executable: DriverObject?
        driver.check(driver.instantiateGraph(&executable, graph, 0), "a recorded step")
        driver.check(driver.destroyGraph(graph))
        return executable
    }

    func forgetSteps() {
        for step in steps.values where step.graph != nil {
            _ = device.driver.destroyExecutableGraph(step.graph)
        }
        steps = [:]
        for constant in constants { release(constant.address, bytes: constant.bytes) }
        constants = []
    }
}
