// The encoded pictures of apps/vectors/pictures: each is read as it has to be seen, or refused.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

// `check` is told what was compared and whether it holds.
void check_pictures(const std::filesystem::path& folder, const std::function<void(const std::string&, bool)>& check);
