// What the fuzzing programs of the training kernels share.
#pragma once

#include <cstddef>
#include <thread>

#include "brain.hpp"

namespace s2m_edge {

// Two threads, the first of which gets the odd part.
struct PairFor {
  template <class Body>
  void operator()(std::size_t count, const Body& body) const {
    const std::size_t middle = count - count / 2;
    std::thread second([&] { if (middle < count) body(middle, count); });
    if (middle > 0) body(0, middle);
    second.join();
  }
};

inline void put(float value, float& to) { to = value; }

inline void put(float value, Brain& to) { to = to_brain(value); }

inline float get(float value) { return value; }

inline float get(Brain value) { return to_float(value); }

}  // namespace s2m_edge
