"""Identity: people, their sessions and refresh tokens, and the api tokens of organizations.

A session is one login of one person; its refresh tokens form one family. Presenting a used refresh token ends the
family, save for the direct predecessor within a short grace. Api tokens belong to the organization and outlive their
creator. Tables: users, sessions, refresh_tokens, api_tokens.
"""
