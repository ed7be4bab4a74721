import Foundation

/// Frames per second over the last seconds.
public struct RateMeter: Sendable {
    private let window: Double
    private var times: [Double] = []

    /// - Parameter window: seconds.
    public init(window: Double = 2) { self.window = window }

    /// Note a frame shown at `time`, in seconds of any monotonous clock.
    public mutating func tick(at time: Double) {
        times.append(time)
        times.removeAll { $0 < time - window }
    }

    /// Nil until there are two frames.
    public var framesPerSecond: Double? {
        guard let first = times.first, let last = times.last, last > first else { return nil }
        return Double(times.count - 1) / (last - first)
    }
}
