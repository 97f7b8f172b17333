from torch.utils.data import DataLoader as DataLoader
