import Foundation
import Observation
import S2MEdgeKit

/// The loaded model, its self-test on every compute unit, and what the person chose.
@MainActor
@Observable
final class AppModel {
    enum Stage: Equatable {
        case loading(String)
        case failed(S2MEdgeError)
        case ready
    }

    struct Choice: Identifiable, Hashable {
        let name: String
        let bundle: ModelBundle
        let kind: RuntimeKind

        var id: String { name }
        static func == (one: Choice, other: Choice) -> Bool { one.name == other.name }
        func hash(into hasher: inout Hasher) { hasher.combine(name) }
    }

    private(set) var stage = Stage.loading("Looking for models")
    private(set) var choices: [Choice] = []
    private(set) var current: Choice?
    private(set) var reports: [SelfTestReport] = []
    private(set) var unit: ComputeUnit?
    private(set) var testing: ComputeUnit?
    var threshold = 0.5
    var style = OverlayStyle()
    /// The picture of the tab Picture. It is kept here, because choosing another model ends what runs for it.
    let picture = PictureResult()
    private var runtimes: [ComputeUnit: any SegmentationRuntime] = [:]

    var contract: Contract? { current?.bundle.contract }

    /// The segmenter of the chosen compute unit: nil unless its self-test is green.
    var segmenter: Segmenter? {
        guard let current, let unit, let runtime = runtimes[unit], let report = report(of: unit) else { return nil }
        return try? Segmenter(bundle: current.bundle, runtime: runtime, report: report)
    }

    func report(of unit: ComputeUnit) -> SelfTestReport? { reports.first { $0.unit == unit } }

    /// Find the models in the app and test the first one.
    func start() async {
        guard choices.isEmpty else { return }
        guard let root = Bundle.main.resourceURL?.appendingPathComponent("Models", isDirectory: true) else { return }
        let kinds = RuntimeFactory.kinds
        // Hashing 20 MB takes a moment.
        let found = await Task.detached { ModelBundle.find(in: root) }.value
        do {
            let first = try chooseBundle(found, preferring: kinds)
            choices = found.compactMap { name, result in
                guard case .success(let bundle) = result,
                    let kind = kinds.first(where: { $0.target == bundle.contract.target })
                else { return nil }
                return Choice(name: name, bundle: bundle, kind: kind)
            }
            guard let chosen = choices.first(where: { $0.bundle.folder == first.bundle.folder }) else { return }
            await select(chosen)
        } catch {
            stage = .failed(
                error as? S2MEdgeError ?? S2MEdgeError("the model cannot be opened (\(error))", remedy: "Build the app again.")
            )
        }
    }

    /// Load a model on every compute unit and run its golden inputs. The fastest green unit is chosen.
    func select(_ choice: Choice) async {
        current = choice
        threshold = choice.bundle.contract.postprocessing.threshold
        await runSelfTests()
    }

    func runSelfTests() async {
        guard let current else { return }
        picture.clear()
        reports = []
        runtimes = [:]
        unit = nil
        for unit in current.kind.units {
            testing = unit
            stage = .loading("Self-test on \(unit.title)")
            reports.append(await test(current, on: unit))
        }
        testing = nil
        let green = reports.filter(\.passed)
        unit = green.min { ($0.medianMilliseconds ?? .infinity) < ($1.medianMilliseconds ?? .infinity) }?.unit
        stage = .ready
    }

    /// Choose a compute unit; one whose self-test is red is not taken.
    func choose(_ unit: ComputeUnit) {
        if report(of: unit)?.passed == true { self.unit = unit }
    }

    private func test(_ choice: Choice, on unit: ComputeUnit) async -> SelfTestReport {
        do {
            let runtime = try await RuntimeFactory.make(choice.kind, bundle: choice.bundle, unit: unit)
            runtimes[unit] = runtime
            // The first prediction builds the device's plans, and would be no measure of time.
            if let golden = choice.bundle.golden.entries.first { _ = try await runtime.probabilities(of: golden.image) }
            return await SelfTest.run(choice.bundle, on: runtime)
        } catch {
            let reason = (error as? S2MEdgeError)?.description ?? error.localizedDescription
            return SelfTestReport(unit: unit, runtime: choice.kind.title, entries: [], failure: reason)
        }
    }
}
