"""What answers take, what that costs, and how much of it everybody may have."""
