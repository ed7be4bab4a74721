import Foundation

/// Everything that can go wrong before a mask is shown: what is wrong, and what to do about it.
public struct S2MEdgeError: Error, Equatable, Sendable {
    /// One sentence without a trailing full stop.
    public let cause: String
    /// What the person at the screen, or the one who built the app, can do.
    public let remedy: String

    public init(_ cause: String, remedy: String) {
        self.cause = cause
        self.remedy = remedy
    }
}

extension S2MEdgeError: LocalizedError, CustomStringConvertible {
    public var description: String { "\(cause). \(remedy)" }
    public var errorDescription: String? { description }
}
