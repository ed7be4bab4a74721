// Plans and scratch: made once for a shape and a thread, then only looked up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "axis.hpp"

namespace s2m_edge {

// The plan of an axis, from a cache that all threads share. A caller's copy outlives the cache's.
inline std::shared_ptr<const AxisPlan> plan_axis(std::size_t length, std::size_t kept) {
  struct Cache {
    std::mutex mutex;
    std::map<std::pair<std::size_t, std::size_t>, std::shared_ptr<const AxisPlan>> plans;
  };
  constexpr std::size_t kMostPlans = 256;  // more sizes than a network has; dynamic sizes must not fill the memory
  static Cache* const cache = new Cache;   // never destroyed: threads may outlive the library's other statics
  const auto key = std::make_pair(length, kept);
  const std::lock_guard<std::mutex> lock(cache->mutex);
  const auto found = cache->plans.find(key);
  if (found != cache->plans.end()) return found->second;
  auto plan = std::make_shared<const AxisPlan>(length, kept);
  if (cache->plans.size() >= kMostPlans) cache->plans.clear();
  cache->plans.emplace(key, plan);
  return plan;
}

// Floats that live as long as their thread, aligned to a cache line, zero when new.
class Scratch {
 public:
  float* reserve(std::size_t count) {
    if (count > count_) {
      constexpr std::size_t kLine = 64;
      memory_.reset();  // first, so that both never lie in memory together
      count_ = 0;
      memory_.reset(new unsigned char[count * sizeof(float) + kLine]());
      count_ = count;
      const auto address = reinterpret_cast<std::uintptr_t>(memory_.get());
      aligned_ = reinterpret_cast<float*>(memory_.get() + (kLine - address % kLine));
    }
    return aligned_;
  }

  static Scratch& of_this_thread() {
    static thread_local Scratch scratch;
    return scratch;
  }

 private:
  std::unique_ptr<unsigned char[]> memory_;
  float* aligned_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace s2m_edge
